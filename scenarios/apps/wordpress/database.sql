CREATE DATABASE wordpress;
CREATE USER 'wordpress'@'%' IDENTIFIED BY 'textbook';
GRANT ALL ON wordpress.* TO 'wordpress'@'%';
