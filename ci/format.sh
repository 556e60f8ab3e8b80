#!/usr/bin/env bash
# Every file is formatted.
exec cargo fmt --check
