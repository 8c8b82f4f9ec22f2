mkdir i; echo i > i/i; tar --owner=0 --group=0 --mtime=@0 -cf f.tar i; rm -r i
