touch "arr[0].txt" home.txt bb cc
