/* SPDX-License-Identifier: MIT */
/*
 * Keys for key_test.c and kex_test.c, made by ssh-keygen(1) and openssl(1) for
 * these tests only: they open nothing.
 */
#ifndef KSSH_TESTS_KEY_DATA_H
#define KSSH_TESTS_KEY_DATA_H

static const char key_ed25519[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
	"QyNTUxOQAAACDeXiLlGoAF1zNA0dlLR/BvBpuJwVJ0LN+H/DebpafyWwAAAJjvRQrQ70UK\n"
	"0AAAAAtzc2gtZWQyNTUxOQAAACDeXiLlGoAF1zNA0dlLR/BvBpuJwVJ0LN+H/DebpafyWw\n"
	"AAAEBWnPZ3dgAqCgD7DXfSquJTkhKxXjtE+KbmQTrtHyUdNt5eIuUagAXXM0DR2UtH8G8G\n"
	"m4nBUnQs34f8N5ulp/JbAAAAE3Rlc3Qga2V5LCBvZiBubyB1c2UBAg==\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_p256[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n"
	"1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQSfRWq78HHF+gdcMDWc8yJ96z7MFhEJ\n"
	"GQVgGvm0iK1oUVRRTt/aM0EWD53e+tZOleQEtOlvjPpZJqJafPwf7S1QAAAAsLi2opa4tq\n"
	"KWAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ9FarvwccX6B1ww\n"
	"NZzzIn3rPswWEQkZBWAa+bSIrWhRVFFO39ozQRYPnd761k6V5AS06W+M+lkmolp8/B/tLV\n"
	"AAAAAhAIO50RGI1RKL2GEZuJjIS7V5a+foCq/ms3C/jr49J/A+AAAAE3Rlc3Qga2V5LCBv\n"
	"ZiBubyB1c2UBAgME\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_rsa2048[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcn\n"
	"NhAAAAAwEAAQAAAQEAo2eHvhiHgayXi3Xt7ohw/nRsPFt8VUSGuaXCfcpBCiBrQDJkLnbo\n"
	"jmgDD+pldreIQDnFpKXr22hVZhLPulCTBIqwhiK1BwlntqDhMYm+lQsKfz2oSQdRrr+TuQ\n"
	"Hv8KLbxhm7LR+YHPEhalcPineNkK3BbStqAgtBLg4ZGG17uDZYyR2ntocFQjBSRiN27aXt\n"
	"Ut9DGlUAeNenTcBqjj9R+7bC2HcNuIcQEkAqlgZ+vFT48cIX5FlQg4BC0o8JYrimfP0PgN\n"
	"ZEwDOArtglWoI4ZMwLqyjvzHhE06rtzQgVOg2zc/mdX2gJOjsQqMuqYJphiMqhtbP1kxfP\n"
	"/EiPV+oDfQAAA8ifV2Ewn1dhMAAAAAdzc2gtcnNhAAABAQCjZ4e+GIeBrJeLde3uiHD+dG\n"
	"w8W3xVRIa5pcJ9ykEKIGtAMmQuduiOaAMP6mV2t4hAOcWkpevbaFVmEs+6UJMEirCGIrUH\n"
	"CWe2oOExib6VCwp/PahJB1Guv5O5Ae/wotvGGbstH5gc8SFqVw+Kd42QrcFtK2oCC0EuDh\n"
	"kYbXu4NljJHae2hwVCMFJGI3btpe1S30MaVQB416dNwGqOP1H7tsLYdw24hxASQCqWBn68\n"
	"VPjxwhfkWVCDgELSjwliuKZ8/Q+A1kTAM4Cu2CVagjhkzAurKO/MeETTqu3NCBU6DbNz+Z\n"
	"1faAk6OxCoy6pgmmGIyqG1s/WTF8/8SI9X6gN9AAAAAwEAAQAAAQALvWHyxediaSiAJApi\n"
	"o1ne5jVqhrYhmClHyEF3cSMIG7ko5RXugquFo7Jon9IHW/tFhgENqcAOxOmxyjMzcxuE7Y\n"
	"PuNysjZMkXRWq4eOmA4sivyJnBGW4EbI4r8hgvhTvd+TZJ8SWoGqjob3XV4G4C0YD+m2pj\n"
	"2DQoH2otJ5yGaP/HQR52FG14zfoL107SBK9Rtu+eXNa7YU6JouoYP8tsBlXfMkLT/E9+WZ\n"
	"oIJAU0W3OpaGShw8dzPM6fT/la35zH40/5Tu4iWTmv0RURppSg9L4nO/HPMnYu3YMnu2Ji\n"
	"1hr6x+8DjBP3vPsWLnhubnDFZaqztmvCMy5a5FCcMOpxAAAAgHEqTaXOvRPd4jqzmNgpbR\n"
	"/E9PfVzay0UFNTazvBBk1a8Kn05IFRqLqWsN4TiWvvXeM5lQBUz2C1+WLVcZLMXa7gxYbs\n"
	"oKOprm93Z9UCzi5VCSsfNMlqPFrzc0aYHKVBPLgeG/5UHN9LKH3VJmUt14q2JPg0JgaVoB\n"
	"a1BRPRRKk4AAAAgQDN4blx/lZKU/pQtInoQHXo+dZFgrY2z2LCLWAxkJh+fSNB6vm+rZeG\n"
	"Ix9sJD8k1I7equzWmNN7+e6XztXQfYQYUIOlgw19gAWIt407hl6AhdbbGldQn84ydulAHr\n"
	"PxA1fCDybQQu0Qx9CUXA2NfHSKL6Zn59SsVifNRiKiqtAcOQAAAIEAyy6s/80TCp+7I3pr\n"
	"R6bhYUVrwyfdlGUVpMhvdfUmGLCVFgIBwI2pBbmtYLKjlZU0ce2p5Jz5N+WvQLcViHJS4q\n"
	"MaoLwxQMB/9M9syr5iLITtrkUTkeaKMLy8WV4MsXRP5qKCuciqFMGir6udYEmwt72zpdfs\n"
	"htUYNss1CgkX6WUAAAATdGVzdCBrZXksIG9mIG5vIHVzZQ==\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_ed25519_passphrase[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABByO7sV34\n"
	"WUkNuBE+jjp/OhAAAAGAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIBAQB6RQ+/RcMxXQ\n"
	"/KHlAT1/yInEx1YcLpOA8SWIZ/8aAAAAoOh3xyrJhMRSxEy7vgLKlxipOfMAiUk3aKYV1S\n"
	"f1VXeTi2/L4t0RVbgML8M/cW93uAIHrVRsQluUDB6krW3oGatpwjLa4WuUmV7HOV2aNw0i\n"
	"zalNbpoLSVL5y4gYH+aOG2obQUo9iSb9btXJSji1S7mF6XjhpaOtZhZci5VXvJ16UtWAfW\n"
	"Yb152Xi0rELnghvq9Y4qvs1ctC8gBBBzJDGVs=\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_p384[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAiAAAABNlY2RzYS\n"
	"1zaGEyLW5pc3RwMzg0AAAACG5pc3RwMzg0AAAAYQTRn5LAitgjAcZJwNdbezZlGVxmfp9T\n"
	"p099CcMLfQ1D52Dks9DbsLTtyqiszlCMuR7IfRFjYVY8pnbreFB54sjeCx3Tw7nw6wFI73\n"
	"m0cefQN244ZaXU7wmBuk//c+9EdbwAAADgJ6FkmSehZJkAAAATZWNkc2Etc2hhMi1uaXN0\n"
	"cDM4NAAAAAhuaXN0cDM4NAAAAGEE0Z+SwIrYIwHGScDXW3s2ZRlcZn6fU6dPfQnDC30NQ+\n"
	"dg5LPQ27C07cqorM5QjLkeyH0RY2FWPKZ263hQeeLI3gsd08O58OsBSO95tHHn0DduOGWl\n"
	"1O8JgbpP/3PvRHW8AAAAMQD5x6bOa+h6TUByRMAO78bty202kBkvOrTE+qJtbaASvTC3Ys\n"
	"jjO389gc5W/asw06YAAAATdGVzdCBrZXksIG9mIG5vIHVzZQECAwQ=\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_rsa1024[] =
	"-----BEGIN OPENSSH PRIVATE KEY-----\n"
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAlwAAAAdzc2gtcn\n"
	"NhAAAAAwEAAQAAAIEAzlkEAHxSuAE/rI+D1oypL6doJh/mJQrp1larEUxKKGkUEz9tEWAn\n"
	"o5VjlfJ+1ZtvqGlylQPnOk00fhc2gGKUFTm4SdnjIYPqT2X/6nSNA38sGnsYxTcKOia5ci\n"
	"P5O1ag1T4UFYSKC1HzwRBTMZ7ACfxsJqs8/BcKJYQd1nZHBu8AAAIQUo0+EVKNPhEAAAAH\n"
	"c3NoLXJzYQAAAIEAzlkEAHxSuAE/rI+D1oypL6doJh/mJQrp1larEUxKKGkUEz9tEWAno5\n"
	"VjlfJ+1ZtvqGlylQPnOk00fhc2gGKUFTm4SdnjIYPqT2X/6nSNA38sGnsYxTcKOia5ciP5\n"
	"O1ag1T4UFYSKC1HzwRBTMZ7ACfxsJqs8/BcKJYQd1nZHBu8AAAADAQABAAAAgQCoM+uNMc\n"
	"qD75Cl6z6+r15iWAYPvcTuwRyn+XHs4dE5a55Pqk4P8d+d+vJ4knlNSi0UjRA35DyiS7jU\n"
	"Z7unn7OwukjgfzNIpDRwZFsKv0GrGqfA5LKnwplS2IhSgJeZHNefbx/I20Fnl3pmDo7Fz+\n"
	"vWY235LY7wO5DDAtzsS+28EQAAAEBdZYs/MKJa7al3qvSH6mdN0YONLWC52TgsNiVWLG4j\n"
	"lcuebGn3nM0NVZ8n2NVBcQYF6xCyO5t0QT6VfrZjsoaSAAAAQQDztV5goz/hIYcd/RxKSF\n"
	"M2J2p95kR/ErfQE0ghLlY7gqwTZP1yXSukqXFhAU3V6v9lesg31Fox75qfHqnjuSpLAAAA\n"
	"QQDYwUPlVvXom8+g4wAHkm7OKmcl4kDTQc6270G/CtToIIbY74Spvv0E44FV1szCn5bsS/\n"
	"u/K5LE1FE9ExztXO9tAAAAE3Rlc3Qga2V5LCBvZiBubyB1c2UBAgMEBQYH\n"
	"-----END OPENSSH PRIVATE KEY-----\n";

static const char key_rsa2048_pem[] =
	"-----BEGIN RSA PRIVATE KEY-----\n"
	"MIIEpAIBAAKCAQEAt4tb3lLhxHcQV2CsryryIotvwQrlV/zccL56qPDqY3qPTYGg\n"
	"8srzeUMK+mW3q3GFaTvdqE+IYeOWCifP54eN4FxBFHcXjPa6D9PC0KhbYBLscfjY\n"
	"FcGBid/RI/URUr0EsCikTAQzuUfMp0nbGLDfTOLunoKGlIpjlZ+STx9jIwGfETK/\n"
	"Lp963Cklxv4GhXPLGZsKgg8NncQFfae/9dwGUuHiGOtsdgkNqa2U1ylyWles5CVA\n"
	"AYA45IgpITWfD54xZu8jeB6/cISIM9jPX/EKyaTxGCrOhNPgOilkWCfjt36QQJzJ\n"
	"uuT/RqDenv4EgRTPOKTq64p/yTC/utCM9SOwjwIDAQABAoIBAAYXK9ok3u5n7KHL\n"
	"O/LnsAQ61nkBG9rysZZUkJM4xCMlhuOea93sPSFzesXg7s2gftOFbVWiwGOBkh60\n"
	"WbJIB1dM4f33W7YAqlKD7a2CpxGSxZTPzWY5A+VOCRpL2gjOuLA0KqUfgixH3r/x\n"
	"8/RasVygSFgrLzyqAPCO/7Bipr81Eq3jlOJhYpuEh9rHkQW9OtgjMAzQm9hJTvCm\n"
	"R/tdztv85NEQOt+rXX0NW09efRpNQDDUZk52J/+ASKblBelGQH8eR7HmHt0ZaM1B\n"
	"fNRO5MNCO/cmHk0hY1zgUt+AyTPZeb7P0hlWtlXP7UpAPHmzRmQ2Ocd8jZcDMw8f\n"
	"rYjgZzECgYEA2vUImYIE4mF939g1HjaEQaWWYsUVPaLiHCjsjWpL5tGGl5zE/sE2\n"
	"aQ2QHNRT3XbTck4hKfpgHtuoJNt1aEojzPAnoroHRXX5QocvAwOx91n5w6tNYjlP\n"
	"vdqMS9pqfUJ3M/JLIbMVgdS5UpCYdYH1q3aAr4giUtuozbXPiecPoj8CgYEA1pib\n"
	"uVrsYxgQgGneG632ePD4r1GiWmeKhteAQK1rcHXEV2dSBtVL5Zl8FSwqP0wsOWY8\n"
	"ULzxvNG9BlvNX8LJZV+4ojZKhey3JTNJP4wbilwjw6h9nmPHaRovfra7Td+i3afA\n"
	"u7SzYdZbcIlZdEI28W+MituduliGj0aFZtx0vbECgYB1nZJVA2akREJdb8J4zEgX\n"
	"C1/RBpT2Wvyiq8kF3ceP4ZUu8+NOBXO40rRLCDNUj3PdvuJJrljbupqD0e8rakf4\n"
	"2jgwTUWCpnCSsBMsx1tdx1NHLEmRLcAL983NITJ6vq1RliGNpKk06JP0Kf/7fyf8\n"
	"RtexcqsdXyk59yPYq+nV+QKBgQCm7v4smUtL5rtneXN7Kr+R4zpA/4sBMoxzSo6N\n"
	"QZpTWHlM2KXZhPFOgTAiNEIFDVdVq27+C40tKicWHDHN7XPHdUfmf79HIRZzTMsN\n"
	"MQt3fSehG5/kp4/G9cS+mJ1p/a7vKIDoQ7BLSnnFOEMrChs9g13b4u12uUiridta\n"
	"YeI6cQKBgQCnucwTRBvfeQo+K17DeqyZS4kxl2gfL+UpRqeqyfFe8gFHXaovoSx6\n"
	"1cy2RBA13dAEPPibAml+Q0lsE9uc7OIKyymGF7kNWKY3owWkIloeEQR6UeXwzXpG\n"
	"rBdyT8iYQVSWs120lAN6hnEnh55/SGMtJ7Z4W/jtiuk+O81aaQc3Ew==\n"
	"-----END RSA PRIVATE KEY-----\n";

static const char key_p256_pem[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MHcCAQEEIHYbb/glceD81/8+/YA/z2q7s0bSvXgwpMAGboBRBirwoAoGCCqGSM49\n"
	"AwEHoUQDQgAEEdX56HJaN5XTfwMLEbHTrGgHRkEePdRmriSI+Co07A/Che6W1tc2\n"
	"nYUpDkYyELlPsXved5jLnSBepW9PF8ETUg==\n"
	"-----END EC PRIVATE KEY-----\n";

static const char key_ed25519_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIKcd1QyHIC48/KlzaE3E/osH3PwO/rVuldFzVevdP6fl\n"
	"-----END PRIVATE KEY-----\n";

static const char key_rsa1024_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAK99OUVwpQN25PtJ\n"
	"TqOPu0QfCUKjHomD5AmsUkM0GGJNP1ms27NVzRUoHmK66gEiy5HMwU8HPfthpHn9\n"
	"qYtO6IBtH4qHlETPnr74UMXP1q7TfdJz+k+R4D8/umdmtCdTKh+iZcLfjPhgMDN6\n"
	"dGdiHlgkjpkN9vCtarDaGd8bmM5fAgMBAAECgYEAlBqtEQvGWCwpiGIP+j49n3pK\n"
	"CHE+PnSPKhLCwnDe+2eSRY57RNju4iIfstdo0liZUY1qv9Wu289GTqZkRmvsD8A4\n"
	"C0TTMkjgEO23l55NR2P9TZc/paQ0zCJ/39UtrG7zmG8BiL7HF9nvyWlitZxrlg8Z\n"
	"aUOGa3WatK/9rtD50ZECQQDk05F7Vq6rLF+nBcyvyULAk8+I/ceUWtYxJ2cgF58p\n"
	"AWMsBvVnhKtTbRJCq1nic6EuL+8eunV8lYEDrG3jMxOtAkEAxFQtRXSWANC14UXD\n"
	"u1eghIfATXcNN24sh3qPsDd1Gg+r2kokb6fZqrlSCJC15TDwEKvPK7aQ7QZsTPEs\n"
	"d1ULuwJAT+hp925P1MrMJGFsFz7rJqD3alllJrOJ9ORTqOtW01T+stNDQ4Ea6yk9\n"
	"pTZ9Tw0eDikDEfH/MSBsS0IdpaeiiQJAKMrYsTK9LCQxdkIZniZh2seeBDp1S4wf\n"
	"wnKLwnBza1vQOEXpdi2pA1kIG3F96cYWS1B3djyzthv8iqwdshnAmwJAPT3yoLaI\n"
	"WBeiDxwG0TLszzGxYu3TYjET7LOQtx8vs0bTllE5ec1WjT+CxQ3dPf+pik1kGYls\n"
	"1af5e+payuxzEw==\n"
	"-----END PRIVATE KEY-----\n";

static const char key_ed448_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MEcCAQAwBQYDK2VxBDsEOf0plr5KpVfJ/2JRUOnAc/GlmLCCsee8uSCwfEuyH1Ue\n"
	"VCfuQ72KUSG5akSq3IBZ+xt28bbcYPHCYQ==\n"
	"-----END PRIVATE KEY-----\n";

static const char key_p256_pem_passphrase[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"Proc-Type: 4,ENCRYPTED\n"
	"DEK-Info: AES-128-CBC,4288D9BED3D80EEE09E3B70FBDEA863F\n"
	"\n"
	"+/H3iXd/kHzuGzmjl7+IsBgggnpkYIav7rjEf8Mu2er4AnToMoaoakKekjyPuGkM\n"
	"nPbJ5TI6z7aIW93Kk9LujxdANgzxfoK7ptUpKc17eVrZuMsVwVzVEcLuLUMvVmfy\n"
	"gNxKyx9GBHbYh4T6vmeiIqSrZNesT9Qw4PaU/axWahU=\n"
	"-----END EC PRIVATE KEY-----\n";

static const char key_p256_pkcs8_passphrase[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBABG4JcKB3OcJsBApcG\n"
	"yVkIAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQshNOFP8rjI7+6l+B\n"
	"+6TgKASBkH0UfXo26/EjodJ5ZEhYoWMtE47G/k3qWrjk7syIifsWdhO7QiCoaHpM\n"
	"+2P1V7rVby0mNTt1IBa1XcX+8fWaqjFDKBBZDw5CFVRqYRE4yd07qE3N4eSaMuwF\n"
	"vKYZdBXtXhAQWDvs1zJq1GenFAdJrDUR7cVmmXHWwpo2W9w+pUdleKlj6Dgv2fRG\n"
	"V+iuIRAfgA==\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

/* public half, base64 */
static const char pub_ed25519[] =
	"AAAAC3NzaC1lZDI1NTE5AAAAIN5eIuUagAXXM0DR2UtH8G8Gm4nBUnQs34f8"
	"N5ulp/Jb";
static const char fp_ed25519[] =
	"SHA256:Qz5g71Tr+o8aswlYdmmv6+0AoiGKG/rECoXYyQws7cM";

/* public half, base64 */
static const char pub_p256[] =
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ9Farvw"
	"ccX6B1wwNZzzIn3rPswWEQkZBWAa+bSIrWhRVFFO39ozQRYPnd761k6V5AS0"
	"6W+M+lkmolp8/B/tLVA=";
static const char fp_p256[] =
	"SHA256:+v+apRvbUnm15qIg3Jw54SbC+6W1Qbvab+/HL9WpnoY";

/* public half, base64 */
static const char pub_rsa2048[] =
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQCjZ4e+GIeBrJeLde3uiHD+dGw8W3xV"
	"RIa5pcJ9ykEKIGtAMmQuduiOaAMP6mV2t4hAOcWkpevbaFVmEs+6UJMEirCG"
	"IrUHCWe2oOExib6VCwp/PahJB1Guv5O5Ae/wotvGGbstH5gc8SFqVw+Kd42Q"
	"rcFtK2oCC0EuDhkYbXu4NljJHae2hwVCMFJGI3btpe1S30MaVQB416dNwGqO"
	"P1H7tsLYdw24hxASQCqWBn68VPjxwhfkWVCDgELSjwliuKZ8/Q+A1kTAM4Cu"
	"2CVagjhkzAurKO/MeETTqu3NCBU6DbNz+Z1faAk6OxCoy6pgmmGIyqG1s/WT"
	"F8/8SI9X6gN9";
static const char fp_rsa2048[] =
	"SHA256:h1j1NV33GMtDBxZzTrpm43nyxCb0VnrA9kaSMUUdZWM";

/* public half, base64 */
static const char pub_rsa1024[] =
	"AAAAB3NzaC1yc2EAAAADAQABAAAAgQDOWQQAfFK4AT+sj4PWjKkvp2gmH+Yl"
	"CunWVqsRTEooaRQTP20RYCejlWOV8n7Vm2+oaXKVA+c6TTR+FzaAYpQVObhJ"
	"2eMhg+pPZf/qdI0DfywaexjFNwo6JrlyI/k7VqDVPhQVhIoLUfPBEFMxnsAJ"
	"/Gwmqzz8FwolhB3WdkcG7w==";
static const char fp_rsa1024[] =
	"SHA256:8wafDb3Umb2BgWej6YHrYH69YD3ei15I3EbCT+gt9Wc";

/* public half, base64 */
static const char pub_p384[] =
	"AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBNGfksCK"
	"2CMBxknA11t7NmUZXGZ+n1OnT30Jwwt9DUPnYOSz0NuwtO3KqKzOUIy5Hsh9"
	"EWNhVjymdut4UHniyN4LHdPDufDrAUjvebRx59A3bjhlpdTvCYG6T/9z70R1"
	"vA==";
static const char fp_p384[] =
	"SHA256:HLGi95m7IP7tLQokeYcIqGnx0gn6KxRmkkwtyRqCHhQ";

static const char fp_rsa2048_pem[] =
	"SHA256:bDYacuszXs7difG7oWwgPX0cHtzbpT3rWfdWdOpInsU";

static const char fp_p256_pem[] =
	"SHA256:tQtDhd0I9E6vpm70eUAE9cWsof0iRZBhjEUF/6tLqxI";

/* ssh-keygen -Y sign -n test, base64 */
static const char sshsig_ed25519[] =
	"U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg3l4i5RqABdczQNHZ"
	"S0fwbwabic"
	"FSdCzfh/w3m6Wn8lsAAAAEdGVzdAAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2"
	"gtZWQyNTUx"
	"OQAAAEBlEiqGFMl/jdgFrzdyQDDIdEaBYGWAIZKWgwc52E3XBFCytLPU51MW"
	"EzpiGQeofi"
	"SS/eZhgVMuTQtBBQM9WaEM";

/* ssh-keygen -Y sign -n test, base64 */
static const char sshsig_p256[] =
	"U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0"
	"cDI1NgAAAE"
	"EEn0Vqu/BxxfoHXDA1nPMifes+zBYRCRkFYBr5tIitaFFUUU7f2jNBFg+d3v"
	"rWTpXkBLTp"
	"b4z6WSaiWnz8H+0tUAAAAAR0ZXN0AAAAAAAAAAZzaGE1MTIAAABjAAAAE2Vj"
	"ZHNhLXNoYT"
	"ItbmlzdHAyNTYAAABIAAAAIEleJAEoCVfzCvbuo6AtExUX4PjDpE6VAvQMbl"
	"RFERfyAAAA"
	"IAc7pe7N3RdY5cRv4iWjIqb1aVWGuuW7jxicL1Jh9yw7";

/* ssh-keygen -Y sign -n test, base64 */
static const char sshsig_rsa2048[] =
	"U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAKNnh74Yh4Gs"
	"l4t17e6IcP"
	"50bDxbfFVEhrmlwn3KQQoga0AyZC526I5oAw/qZXa3iEA5xaSl69toVWYSz7"
	"pQkwSKsIYi"
	"tQcJZ7ag4TGJvpULCn89qEkHUa6/k7kB7/Ci28YZuy0fmBzxIWpXD4p3jZCt"
	"wW0ragILQS"
	"4OGRhte7g2WMkdp7aHBUIwUkYjdu2l7VLfQxpVAHjXp03Aao4/Ufu2wth3Db"
	"iHEBJAKpYG"
	"frxU+PHCF+RZUIOAQtKPCWK4pnz9D4DWRMAzgK7YJVqCOGTMC6so78x4RNOq"
	"7c0IFToNs3"
	"P5nV9oCTo7EKjLqmCaYYjKobWz9ZMXz/xIj1fqA30AAAAEdGVzdAAAAAAAAA"
	"AGc2hhNTEy"
	"AAABFAAAAAxyc2Etc2hhMi01MTIAAAEAkYtiPl5ZU6zBZ5MiqivReEOwHEbW"
	"8AI/u/x8iT"
	"OArONju4P+rUcAmJ8u6n+q8q1gzBLxkRFEN3EuGFuKpfSCQI61WUxulEKSn2"
	"MOeI6+xek7"
	"7dWVTpd752JDudG5QmUPDFpmscN3c5e4SdSo3ZcOFhniL77yIxmgiduiWUIu"
	"wnw4ZSDh57"
	"8GMo060gG6SDQMMkfgcTV4lKb2HWRbiivRDMKE9MOaiq7k7rwnOyhYlQ5bxr"
	"AFbFNsPITy"
	"akKmBCB41hNcM8qLr3cwK33Cmi3TGxgOFplDIarH63vX4WJZh+WRdJEznvKT"
	"yqdrCD2kL8"
	"XT/wfu6slJcGIWJ7udMjfNmQ==";

#endif
