#!/bin/sh
# Installs WordPress on both real servers through the VIP, which sends connections there in turn; then logs in, writes a post by
# its REST interface and reads it. Who is logged in is in the database, too: so login and nonce take one connection, and the
# post is sent until it comes to the real server that knows the author.
set -e
site=http://172.16.0.66
ask() { curl --silent --show-error --max-time 60 --cookie-jar /tmp/jar --cookie /tmp/jar "$@"; }
for turn in 1 2; do
    ask --fail -o /tmp/installed --data-urlencode 'weblog_title=The textbook' --data user_name=author --data admin_password=textbook \
        --data admin_password2=textbook --data pw_weak=1 --data admin_email=author@example.org --data blog_public=0 \
        "$site/wp-admin/install.php?step=2"
    grep -q 'Success' /tmp/installed || { sed 's/<[^>]*>//g' /tmp/installed | grep . | tail -5; exit 1; }
    echo "installed"
done
nonce=$(ask --fail -o /dev/null --cookie 'wordpress_test_cookie=WP%20Cookie%20check' --data log=author --data pwd=textbook \
    --data testcookie=1 "$site/wp-login.php" --next --silent --show-error --fail --max-time 60 --cookie-jar /tmp/jar --cookie /tmp/jar \
    "$site/wp-admin/admin-ajax.php?action=rest-nonce")
posted=
for try in 1 2 3 4; do
    posted=$(ask -o /tmp/answer --write-out '%{http_code}' -H "X-WP-Nonce: $nonce" --data 'title=Direct Routing' \
        --data 'content=Written through the VIP.' --data status=publish "$site/index.php?rest_route=/wp/v2/posts")
    echo "post, try $try: status $posted"
    [ "$posted" != 201 ] || break
done
[ "$posted" = 201 ] || { cat /tmp/answer; exit 1; }
for turn in 1 2; do
    if ask --fail "$site/index.php?rest_route=/wp/v2/posts" | grep -q 'Direct Routing'; then
        echo "reading $turn: the post is there"
    else
        echo "reading $turn: the post is missing"
    fi
done
echo "written and read"
exec sleep 100000
