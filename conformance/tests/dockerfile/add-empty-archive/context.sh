head -c 10240 /dev/zero > zeros.tar
