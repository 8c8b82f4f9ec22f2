. "$CONTEXTS/links"
printf 'd\nt.txt' > .dockerignore
