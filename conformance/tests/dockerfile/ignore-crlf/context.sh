. "$CONTEXTS/links"
printf '\xef\xbb\xbf*.txt\r\n!t.txt\r\n' > .dockerignore
