mkdir o; echo context > o/f
