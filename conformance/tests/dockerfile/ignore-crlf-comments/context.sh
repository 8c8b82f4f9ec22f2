. "$CONTEXTS/links"
printf '# c\r\nd\r\n\r\n!d/a.txt\r\n' > .dockerignore
