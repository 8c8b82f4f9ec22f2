echo b > a
