mkdir b; echo 1 > a; ln a b/c; ln a b/d; ln -s c b/e
