; What a person sees: where the machine is to belong, what is done, and what came of it.

Var ConsoleField
Var AlwaysField

!define MUI_ABORTWARNING
!define MUI_WELCOMEPAGE_TEXT "This turns the machine into a node: its GPU answers requests of your organisation, while you do not use it or always, as you say.$\r$\n$\r$\nIt registers a service with an account of its own, which sees nothing of your files."
!insertmacro MUI_PAGE_WELCOME
Page custom AskConsole TakeConsole
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_RUN "$INSTDIR\bin\byoi-window.exe"
!define MUI_FINISHPAGE_RUN_PARAMETERS "dashboard"
!define MUI_FINISHPAGE_RUN_TEXT "Show what this node does"
!define MUI_FINISHPAGE_RUN_NOTCHECKED
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
UninstPage custom un.AskPurge un.TakePurge
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Function AskConsole
  ${If} ${FileExists} "$Data\state\identity.json"
    Abort ; enrolled already: nothing to ask
  ${EndIf}
  !insertmacro MUI_HEADER_TEXT "Where this machine belongs" "The address of your organisation's console; leave it empty to say it later."
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateLabel} 0 0 100% 12u "Address of the console:"
  Pop $0
  ${NSD_CreateText} 0 14u 100% 12u "$Console"
  Pop $ConsoleField
  ${NSD_CreateRadioButton} 0 40u 100% 12u "Serve while nobody uses this machine"
  Pop $0
  ${NSD_CreateRadioButton} 0 54u 100% 12u "Serve always"
  Pop $AlwaysField
  ${If} $Mode == "dedicated"
    ${NSD_Check} $AlwaysField
  ${Else}
    ${NSD_Check} $0
  ${EndIf}
  nsDialogs::Show
FunctionEnd

Function TakeConsole
  ${NSD_GetText} $ConsoleField $Console
  ${NSD_GetState} $AlwaysField $0
  StrCpy $Mode "idle"
  ${If} $0 == ${BST_CHECKED}
    StrCpy $Mode "dedicated"
  ${EndIf}
FunctionEnd
