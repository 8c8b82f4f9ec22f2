echo > t.txt; chmod 3644 t.txt
