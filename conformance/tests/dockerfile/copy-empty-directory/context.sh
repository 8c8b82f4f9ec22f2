mkdir e
chmod 711 e
