echo x > "a,b"
