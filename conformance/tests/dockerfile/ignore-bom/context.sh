. "$CONTEXTS/links"
printf '\xef\xbb\xbft.txt\nd\n' > .dockerignore
