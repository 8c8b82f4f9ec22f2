mkdir d; head -c 100000 /dev/zero | tr "\0" x > d/f; seq 100000 > d/g; tar -cz d | head -c 2000 > a.tar.gz; rm -r d
