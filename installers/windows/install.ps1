<#
.SYNOPSIS
Fetches the setup of the byoi node agent, checks that it is what the release signed, and runs it.

.DESCRIPTION
    irm URL/install.ps1 | iex
    & ([scriptblock]::Create((irm URL/install.ps1))) -Console https://console.example

Needs an administrator's PowerShell (5.1 or newer) on 64-bit Windows 10 or newer. Nothing about this
machine's execution policy is changed: piped into iex, a script is text that you run yourself; saved to
a file, it runs where your policy lets it.

Exit codes: those of the setup; and 65 for files that are not what the release signed, 69 where they
cannot be fetched. `irm | iex` has none: a failure is an error there.

.PARAMETER Console
The address of the console to enrol with.
.PARAMETER JoinTokenFile
A file with a join token: enrols without anybody's approval. The token itself is never an argument.
.PARAMETER Mode
dedicated, idle or scheduled: when this machine serves.
.PARAMETER Model
What it serves.
.PARAMETER Proxy
The way out, for this script and for the setup.
.PARAMETER Python
A python.exe 3.12 that is here, on a machine without the Internet.
.PARAMETER From
The folder or the address where the release's files lie.
.PARAMETER ReleaseKey
The public key (PEM) of a release that you built yourself.
.PARAMETER Log
Where the setup's log goes, in place of %ProgramData%\byoi\setup.log.
.PARAMETER NoStart
Do not start the service.
.PARAMETER NoProve
Do not have it answer a question before the end.
.PARAMETER Uninstall
Take byoi away; what the node keeps stays.
.PARAMETER Purge
With -Uninstall: its enrolment, settings and models as well.
.PARAMETER Yes
Show no window and ask nothing.
.PARAMETER WhatIf
Fetch the setup, check it, show how it would be run, and change nothing.
#>
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [string] $Console = $env:BYOI_CONSOLE,
    [string] $JoinTokenFile,
    [ValidateSet('', 'dedicated', 'idle', 'scheduled')] [string] $Mode = '',
    [string] $Model,
    [string] $Proxy,
    [string] $Python,
    [string] $From = '@RELEASE_URL@',
    [string] $ReleaseKey,
    [string] $Log,
    [switch] $NoStart,
    [switch] $NoProve,
    [switch] $Uninstall,
    [switch] $Purge,
    [switch] $Yes
)

# All of it is in functions, and the last line calls them: of a download that was cut off, nothing runs.
$script:Key = @'
@RELEASE_PUBLIC_KEY@
'@
$script:Signer = 'byoi-release'
$script:Uninstaller = Join-Path $env:ProgramFiles 'byoi\uninstall.exe'
$script:Work = $null
# Windows PowerShell's Start-Process knows no -WhatIf, and what a rehearsal fetches has to be written.
$script:IsRehearsal = [bool] $WhatIfPreference

function Stop-WithCode([int] $Code, [string] $Sentence) {
    $problem = New-Object System.Exception $Sentence
    $problem.Data['ExitCode'] = $Code
    throw $problem
}

function Assert-CanInstall {
    if ($PSVersionTable.PSEdition -eq 'Core' -and -not $IsWindows) {
        Stop-WithCode 10 'this is the installer for Windows; Linux and macOS have install.sh'
    }
    if (-not [Environment]::Is64BitOperatingSystem -or [Environment]::OSVersion.Version.Major -lt 10) {
        Stop-WithCode 10 'byoi needs 64-bit Windows 10 or newer'
    }
    $me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $script:IsRehearsal -and -not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        Stop-WithCode 77 'a service is the machine''s: open PowerShell as an administrator, and try again'
    }
}

function Get-ReleaseFile([string] $Name) {
    $target = Join-Path $script:Work $Name
    try {
        if ($From -match '^https?://') {
            $how = @{ Uri = "$($From.TrimEnd('/'))/$Name"; OutFile = $target; UseBasicParsing = $true }
            if ($Proxy) { $how.Proxy = $Proxy }
            Invoke-WebRequest @how
        } else {
            Copy-Item -LiteralPath (Join-Path $From $Name) -Destination $target
        }
    } catch {
        Stop-WithCode 69 "$Name cannot be fetched from ${From}: $($_.Exception.Message)"
    }
    $target
}

# An Ed25519 key as OpenSSH writes it: its 32 bytes are the last of what a PEM file holds.
function ConvertTo-SshKey([string] $Pem) {
    $text = ($Pem -split "`n" | Where-Object { $_ -notmatch '-----' }) -join ''
    $raw = [Convert]::FromBase64String($text.Trim())
    if ($raw.Length -ne 44) { Stop-WithCode 64 'the release''s key is no Ed25519 key in PEM' }
    $kind = [Text.Encoding]::ASCII.GetBytes('ssh-ed25519')
    [byte[]] $blob = @(0, 0, 0, $kind.Length) + $kind + @(0, 0, 0, 32) + $raw[12..43]
    'ssh-ed25519 ' + [Convert]::ToBase64String($blob)
}

function Assert-Signed([string] $Sums, [string] $Signature) {
    $program = Get-Command ssh-keygen.exe -ErrorAction SilentlyContinue
    if (-not $program) {
        Stop-WithCode 65 ('the release''s signature cannot be checked here, and nothing unsigned is installed: ' +
            'add the OpenSSH client (Settings > System > Optional features), and try again')
    }
    $pem = $script:Key
    if ($ReleaseKey) { $pem = Get-Content -Raw -LiteralPath $ReleaseKey }
    if ($pem -like '@RELEASE*') {
        Stop-WithCode 64 'this install.ps1 is that of the sources: name the release''s key by -ReleaseKey FILE'
    }
    $signers = Join-Path $script:Work 'signers'
    Set-Content -LiteralPath $signers -Encoding ASCII -Value "$script:Signer $(ConvertTo-SshKey $pem)"
    # cmd hands the file over byte for byte; a pipe of PowerShell would not.
    $line = '""{0}" -Y verify -f "{1}" -I {2} -n {2} -s "{3}" < "{4}""' -f `
        $program.Source, $signers, $script:Signer, $Signature, $Sums
    $done = Start-Process -FilePath $env:ComSpec -ArgumentList "/d /s /c $line" -Wait -PassThru -WindowStyle Hidden
    if ($done.ExitCode -ne 0) {
        Stop-WithCode 65 ("the signature of $From/SHA256SUMS is not the release's: nothing was installed. " +
            'Try another network; if it stays so, tell who publishes byoi. (OpenSSH older than 8.1 cannot ' +
            'check signatures: ssh -V tells.)')
    }
}

function Get-Setup {
    $sums = Get-ReleaseFile 'SHA256SUMS'
    Assert-Signed $sums (Get-ReleaseFile 'SHA256SUMS.sshsig')
    $found = @(Get-Content -LiteralPath $sums | Where-Object { $_ -match '^([0-9a-f]{64}) [ *](byoi-agent-[0-9A-Za-z.+]+-setup\.exe)$' })
    if ($found.Count -ne 1) { Stop-WithCode 69 'this release has no setup for Windows' }
    $wanted, $name = $found[0] -split ' [ *]', 2
    Write-Host "Fetching $name"
    $setup = Get-ReleaseFile $name
    if ((Get-FileHash -Algorithm SHA256 -LiteralPath $setup).Hash -ne $wanted) {
        Stop-WithCode 65 "$name is not the file that was signed (damaged, or changed by somebody): nothing was installed"
    }
    $setup
}

function Get-SetupWords {
    $words = @()
    if ($Yes -or $JoinTokenFile) { $words += '/S' }
    $values = [ordered] @{
        CONSOLE = $Console; JOINTOKENFILE = $JoinTokenFile; MODE = $Mode; MODEL = $Model
        PROXY = $Proxy; PYTHON = $Python; LOG = $Log
    }
    foreach ($name in $values.Keys) {
        $value = $values[$name]
        if ($value -match '"') { Stop-WithCode 64 "-$name cannot have a quote in it" }
        if ($value) { $words += "`"/$name=$value`"" }
    }
    if ($NoStart) { $words += '/NOSTART' }
    if ($NoProve) { $words += '/NOPROVE' }
    $words
}

function Invoke-Program([string] $Path, [string[]] $Words, [string] $What) {
    if ($script:IsRehearsal) {
        Write-Host "What if: ${What}: $Path $Words"
        return 0
    }
    $how = @{ FilePath = $Path; Wait = $true; PassThru = $true }
    if ($Words) { $how.ArgumentList = $Words }
    (Start-Process @how).ExitCode
}

function Install-Byoi {
    if ($JoinTokenFile -and -not $Console) { Stop-WithCode 64 'a join token needs -Console URL: whose is it?' }
    if ($From -like '@RELEASE*') {
        Stop-WithCode 64 'this install.ps1 is that of the sources: say where the release''s files lie: -From FOLDER_OR_URL'
    }
    $setup = Get-Setup
    $code = Invoke-Program $setup (Get-SetupWords) 'Install byoi'
    if ($code -ne 0) {
        $where = $Log
        if (-not $where) { $where = Join-Path $env:ProgramData 'byoi\setup.log' }
        if (Test-Path -LiteralPath $where) { Get-Content -LiteralPath $where -Tail 8 | Write-Host }
        Stop-WithCode $code "the setup ended with $code; all that it said is in $where"
    }
}

function Uninstall-Byoi {
    if (-not (Test-Path -LiteralPath $script:Uninstaller)) {
        Write-Host 'byoi is not installed here.'
        return
    }
    $words = @('/S')
    if ($Purge) { $words += '/PURGE' }
    # Told where it is, it works in place, so that its end can be waited for; then it goes itself.
    $place = Split-Path $script:Uninstaller
    $code = Invoke-Program $script:Uninstaller ($words + "_?=$place") 'Uninstall byoi'
    if ($code -ne 0) { Stop-WithCode $code "the uninstaller ended with $code; its log is $env:TEMP\byoi-uninstall.log" }
    if (-not $script:IsRehearsal) {
        Remove-Item -LiteralPath $script:Uninstaller -Force -ErrorAction SilentlyContinue
        Remove-Item -LiteralPath $place -Force -ErrorAction SilentlyContinue
    }
}

function Invoke-Main {
    # Here, as they hold for what is called from here: of a script that is piped into iex the outermost
    # scope is the window's own, which would keep them.
    Set-StrictMode -Version 2
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue' # Windows PowerShell spends most of a download on drawing it
    $WhatIfPreference = $false
    # Windows PowerShell on an old Windows 10 offers TLS 1.0 unless it is told.
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor 3072
    if ($Purge -and -not $Uninstall) { Stop-WithCode 64 '-Purge goes with -Uninstall' }
    Assert-CanInstall
    if ($Uninstall) { Uninstall-Byoi; return }
    # What an administrator is about to run lies where nobody else can put a library beside it.
    $parent = $env:ProgramFiles
    if ($script:IsRehearsal) { $parent = $env:TEMP }
    $script:Work = Join-Path $parent "byoi-setup-$([guid]::NewGuid())"
    [void] (New-Item -ItemType Directory -Path $script:Work)
    try {
        Install-Byoi
    } finally {
        Remove-Item -LiteralPath $script:Work -Recurse -Force -ErrorAction SilentlyContinue
    }
}

try {
    Invoke-Main
} catch {
    $code = 1
    if ($_.Exception.Data.Contains('ExitCode')) { $code = $_.Exception.Data['ExitCode'] }
    if ($PSCommandPath) {
        [Console]::Error.WriteLine("byoi: $($_.Exception.Message)")
        exit $code
    }
    throw # piped into iex, `exit` would close the window of whoever typed it
}
