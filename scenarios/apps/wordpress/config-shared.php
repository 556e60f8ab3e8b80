<?php
// One database for both real servers.
define('DB_HOST', '172.16.254.10');
require '/etc/wordpress/settings.php';
