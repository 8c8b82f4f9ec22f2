printf secret > s
