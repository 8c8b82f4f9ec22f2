echo a > a
chmod 4755 a
mkdir s
chmod 1777 s
echo b > b
chmod 000 b
mkdir g
chmod 2750 g
chown -R 500:600 g
mkfifo p
ln a linked
