echo > f
