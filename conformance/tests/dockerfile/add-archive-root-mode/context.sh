mkdir in; echo 1 > in/f; chmod 750 in; tar --owner=5 --group=6 -C in -cf a.tar .
