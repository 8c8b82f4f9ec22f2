mkdir -p etc bin
echo x > etc/new
echo y > bin/foo
chmod 700 etc
