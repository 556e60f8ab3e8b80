<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', 'textbook');
define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
// The same on both real servers, or a login at one is none at the other.
define('AUTH_KEY', 'drlab-1');
define('SECURE_AUTH_KEY', 'drlab-2');
define('LOGGED_IN_KEY', 'drlab-3');
define('NONCE_KEY', 'drlab-4');
define('AUTH_SALT', 'drlab-5');
define('SECURE_AUTH_SALT', 'drlab-6');
define('LOGGED_IN_SALT', 'drlab-7');
define('NONCE_SALT', 'drlab-8');
