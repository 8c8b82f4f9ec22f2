mkdir -p o/d; echo context > o/f; echo deep > o/d/g
