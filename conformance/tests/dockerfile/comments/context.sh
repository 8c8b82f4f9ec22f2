touch a#b
