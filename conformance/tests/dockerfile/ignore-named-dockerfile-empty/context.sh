. "$CONTEXTS/links"
printf 'FROM busybox:base\nCOPY . /x/\n' > Other
printf 'd\n' > .dockerignore
printf '' > Other.dockerignore
