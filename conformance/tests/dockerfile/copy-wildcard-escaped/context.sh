touch 'a[1]' a1 'b*' bc
