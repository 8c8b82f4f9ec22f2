mkdir .h; touch .a .h/b c
