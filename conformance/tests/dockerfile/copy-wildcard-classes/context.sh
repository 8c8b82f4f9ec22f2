touch a1 b1 c2 d1 '!1'
