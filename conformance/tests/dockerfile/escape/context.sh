echo > a.txt
