printf "PK\003\004xxxx" > a.zip
