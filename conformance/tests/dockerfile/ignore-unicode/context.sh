. "$CONTEXTS/links"
touch é.txt ☃1 ☃12
printf '%s\n' 'é*' '☃?' > .dockerignore
