<?php
// A database on each real server itself.
define('DB_HOST', '127.0.0.1');
require '/etc/wordpress/settings.php';
