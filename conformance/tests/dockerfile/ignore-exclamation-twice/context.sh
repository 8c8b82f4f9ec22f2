. "$CONTEXTS/links"
touch "!t.txt"
printf '%s\n' '*' '!!t.txt' > .dockerignore
