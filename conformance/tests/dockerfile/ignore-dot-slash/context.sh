. "$CONTEXTS/links"
printf '%s\n' './t.txt' './d/./a.txt' > .dockerignore
