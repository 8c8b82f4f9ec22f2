mkdir -p o/d; echo context > o/f; chmod 700 o/d
