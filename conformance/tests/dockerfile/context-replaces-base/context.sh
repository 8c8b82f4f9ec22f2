mkdir o; echo context > o/f; echo main > f; chmod 640 o/f
