ln -s ../../../../etc/passwd l
