echo 1 > "one two"; echo 2 > one; echo 3 > two
