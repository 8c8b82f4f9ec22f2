mkdir -p d etc; echo x > etc/x; echo y > d/y; chmod 700 etc d
