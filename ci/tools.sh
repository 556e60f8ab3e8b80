# Sourced: sees to the tools that tests use besides cargo (tshark as an independent reader of captures, arptables,
# iptables and ip). Root installs them by apt; anyone else gets them unpacked below the cache folder.
drlab_cache=${DRLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/drlab}
drlab_tools=$drlab_cache/test-tools

tools_wanted() {
    local wanted=()
    [ -x "$(command -v tshark)" ] || [ -x "$drlab_tools/usr/bin/tshark" ] || wanted+=(tshark)
    [ -x "$(command -v ip)" ] || [ -x "$drlab_tools/bin/ip" ] || [ -x "$drlab_tools/usr/bin/ip" ] || wanted+=(iproute2)
    local tool
    for tool in arptables iptables; do
        [ -x "/usr/sbin/$tool-legacy" ] || [ -x "$drlab_tools/usr/sbin/$tool-legacy" ] || wanted+=("$tool")
    done
    [ -x "$(command -v valgrind)" ] || [ -x "$drlab_tools/usr/bin/valgrind" ] || wanted+=(valgrind)
    command -v cc >/dev/null || wanted+=(gcc libc6-dev)
    # Unpacked without root a compiler does not find its own parts.
    [ "$(id -u)" != 0 ] || command -v c++ >/dev/null || wanted+=(g++)
    printf '%s\n' "${wanted[@]}"
}

tools_install() {
    local wanted
    mapfile -t wanted < <(tools_wanted | grep .)
    [ ${#wanted[@]} -gt 0 ] || return 0
    printf '== tools: %s\n' "${wanted[*]}"
    if [ "$(id -u)" = 0 ]; then
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${wanted[@]}" >/dev/null
        return
    fi
    local apt=$drlab_cache/test-apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$drlab_tools"
    local options=(-qq -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives"
        -o Debug::NoLocking=true -o APT::Sandbox::User=)
    apt-get "${options[@]}" update &&
        apt-get "${options[@]}" -y --no-install-recommends --download-only install "${wanted[@]}" || return
    local package
    for package in "$apt"/archives/*.deb; do dpkg-deb -x "$package" "$drlab_tools" || return; done
    rm -rf "$apt"
}

tools_install || { printf 'could not get the tools that the tests need\n' >&2; return 1; }
if [ -d "$drlab_tools/usr/bin" ]; then
    export PATH="$PATH:$drlab_tools/usr/bin:$drlab_tools/usr/sbin:$drlab_tools/bin:$drlab_tools/sbin"
    export DRLAB_TEST_TOOLS=$drlab_tools
    # Where it is installed, it finds its parts by itself.
    case $(command -v valgrind) in
        "$drlab_tools"/*) export VALGRIND_LIB=$drlab_tools/usr/libexec/valgrind ;;
    esac
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$drlab_tools/usr/lib/$(uname -m)-linux-gnu:$drlab_tools/lib/$(uname -m)-linux-gnu"
fi
