#!/bin/sh
# Chromium and oathtool for the browser tests, from the distribution, where that can be done; else one line says so.
missing=""
command -v chromium >/dev/null || missing="$missing chromium"
command -v oathtool >/dev/null || missing="$missing oathtool"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core; } >/dev/null 2>&1
fi
for program in $missing; do
    command -v "$program" >/dev/null || echo "$program cannot be installed here: the tests that need it are left out."
done
exit 0
