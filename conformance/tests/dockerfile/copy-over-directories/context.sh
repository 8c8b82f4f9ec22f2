mkdir -p one/d one/e two/d two/e
echo 1 > one/d/f; echo 2 > two/d/g; echo longer > two/d/f
chmod 700 one/d; chmod 711 two/d; chmod 755 one/e; chmod 1777 two/e
