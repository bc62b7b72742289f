module stockade.dev/tools/openreports

go 1.26.8

require github.com/openreports/reports-api v0.2.1
