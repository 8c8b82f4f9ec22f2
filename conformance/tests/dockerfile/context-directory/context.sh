mkdir -p o/d; echo other > o/f; echo deep > o/d/g; echo main > f
