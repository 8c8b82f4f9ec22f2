echo 1 > f; mkdir o
