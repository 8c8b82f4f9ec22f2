echo > x
