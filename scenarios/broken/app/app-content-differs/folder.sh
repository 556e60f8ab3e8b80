#!/bin/sh
# A folder that nginx may write to.
set -e
mkdir -p /var/www/html/notes
chown -R www-data:www-data /var/www/html/notes
