#!/bin/sh
# Installs WordPress through the VIP, logs in, writes a post by its REST interface, and reads it there: the front page would
# take a theme, which is a package of its own.
set -e
site=http://172.16.0.66
ask() { curl --silent --show-error --fail --max-time 60 --cookie-jar /tmp/jar --cookie /tmp/jar "$@"; }
ask -o /tmp/installed --data-urlencode 'weblog_title=The textbook' --data user_name=author --data admin_password=textbook \
    --data admin_password2=textbook --data pw_weak=1 --data admin_email=author@example.org --data blog_public=0 \
    "$site/wp-admin/install.php?step=2"
grep -q 'Success' /tmp/installed || { sed 's/<[^>]*>//g' /tmp/installed | grep . | tail -5; exit 1; }
echo "installed"
ask -o /dev/null --cookie 'wordpress_test_cookie=WP%20Cookie%20check' --data log=author --data pwd=textbook --data testcookie=1 \
    "$site/wp-login.php"
nonce=$(ask "$site/wp-admin/admin-ajax.php?action=rest-nonce")
ask -o /tmp/posted -H "X-WP-Nonce: $nonce" --data 'title=Direct Routing' --data 'content=Written through the VIP.' \
    --data status=publish "$site/index.php?rest_route=/wp/v2/posts"
echo "posted"
for turn in 1 2 3 4; do
    ask "$site/index.php?rest_route=/wp/v2/posts" | grep -q 'Direct Routing' || { echo "the post is missing in reading $turn"; exit 1; }
done
echo "read through both real servers"
exec sleep 100000
