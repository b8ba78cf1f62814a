"""The stand-in AWS, held to what AWS documents of itself."""
