. "$CONTEXTS/links"
printf '\xef\xbb\xbf# c\nd\n' > .dockerignore
